package twin;

/** Reads a row's bytes: numbers of as many bytes as they need, instants as their distance from the row's first one. */
final class Input {
    static final long NEVER = Long.MIN_VALUE;

    byte[] bytes;
    int at;
    long base;

    /** Seven bits a byte, the lowest first. */
    long number() {
        long found = bytes[at++];
        if (found >= 0) return found;
        found &= 0x7f;
        for (int shift = 7; ; shift += 7) {
            long next = bytes[at++];
            found |= (next & 0x7f) << shift;
            if (next >= 0) return found;
        }
    }

    long instant() {
        return base + unfolded(number());
    }

    /** 0 stands for NEVER. */
    long instantOrNever() {
        long found = number();
        return found == 0 ? NEVER : base + unfolded(found - 1);
    }

    /** Eight bytes. */
    long fixed() {
        long found = 0;
        for (int i = 0; i < 8; i++) found = found << 8 | bytes[at++] & 0xff;
        return found;
    }

    private static long unfolded(long folded) {
        return folded >>> 1 ^ -(folded & 1);
    }
}

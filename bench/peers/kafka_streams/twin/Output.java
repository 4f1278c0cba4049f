package twin;

import java.util.Arrays;

/** Writes what Input reads. */
final class Output {
    byte[] bytes = new byte[2048];
    int end;
    long base;

    /** Makes room for some more bytes. */
    void room(int more) {
        if (bytes.length < end + more) bytes = Arrays.copyOf(bytes, 2 * (end + more));
    }

    void number(long value) {
        while ((value & ~0x7fL) != 0) {
            bytes[end++] = (byte) (value & 0x7f | 0x80);
            value >>>= 7;
        }
        bytes[end++] = (byte) value;
    }

    void instant(long ms) {
        number(folded(ms - base));
    }

    void instantOrNever(long ms) {
        number(ms == Input.NEVER ? 0 : folded(ms - base) + 1);
    }

    void fixed(long value) {
        for (int i = 56; i >= 0; i -= 8) bytes[end++] = (byte) (value >>> i);
    }

    void copy(byte[] from, int at, int length) {
        System.arraycopy(from, at, bytes, end, length);
        end += length;
    }

    byte[] copyOfAll() {
        return Arrays.copyOf(bytes, end);
    }

    private static long folded(long value) {
        return value << 1 ^ value >> 63;
    }
}

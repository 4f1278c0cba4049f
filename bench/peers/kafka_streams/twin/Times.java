package twin;

/** The latest times of some events, ascending: as many as the audiences that ask for them need. */
final class Times {
    final long[] at;
    int count;

    Times(int most) {
        at = new long[most];
    }

    void add(long ms) {
        int place = count;
        if (count == at.length) {
            if (ms <= at[0]) return;
            for (place = 1; place < count && at[place] <= ms; place++) at[place - 1] = at[place];
            at[place - 1] = ms;
            return;
        }
        for (; place > 0 && at[place - 1] > ms; place--) at[place] = at[place - 1];
        at[place] = ms;
        count++;
    }

    /** Until when there are this many in the window; NEVER: there aren't. */
    long until(int many, long window) {
        return count >= many ? at[count - many] + window : Input.NEVER;
    }

    void read(Input in) {
        count = in.bytes[in.at++];
        if (count == 0) return;
        long time = at[0] = in.instant();
        for (int i = 1; i < count; i++) at[i] = time += in.number();
    }

    void write(Output out) {
        out.bytes[out.end++] = (byte) count;
        if (count == 0) return;
        out.instant(at[0]);
        for (int i = 1; i < count; i++) out.number(at[i] - at[i - 1]);
    }
}

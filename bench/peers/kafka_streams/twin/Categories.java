package twin;

import java.nio.charset.StandardCharsets;

/** The three categories that were looked at last, ascending by time. Decoded only when an event adds one. */
final class Categories {
    private static final int MOST = 3;
    private static final long WINDOW_MS = 24 * 3_600_000L;

    /** Until when there are three in the window. */
    long until;

    private final String[] names = new String[MOST];
    private final long[] at = new long[MOST];
    private int count;
    private final Undecoded undecoded = new Undecoded();
    private final Input in = new Input();
    private final Output body = new Output();

    void clear() {
        until = Input.NEVER;
        count = 0;
        undecoded.clear();
    }

    void add(String name, long ms) {
        if (undecoded.open(in)) decode();
        int place = 0;
        while (place < count && !names[place].equals(name)) place++;
        if (place < count) {
            if (at[place] >= ms) return;
        } else if (count < MOST) {
            place = count++;
        } else if (at[0] < ms) {
            place = 0; // it replaces the one that was looked at least recently
        } else {
            return;
        }
        for (; place + 1 < count && at[place + 1] <= ms; place++) move(place + 1, place);
        for (; place > 0 && at[place - 1] > ms; place--) move(place - 1, place);
        names[place] = name;
        at[place] = ms;
        until = count == MOST ? at[0] + WINDOW_MS : Input.NEVER;
    }

    private void move(int from, int to) {
        names[to] = names[from];
        at[to] = at[from];
    }

    private void decode() {
        count = 0;
        for (int end = undecoded.end(); in.at < end; count++) {
            at[count] = in.instant();
            int length = (int) in.number();
            names[count] = new String(in.bytes, in.at, length, StandardCharsets.UTF_8);
            in.at += length;
        }
    }

    void read(Input row) {
        undecoded.read(row);
    }

    void write(Output row) {
        if (undecoded.write(row)) return;
        body.base = row.base;
        body.end = 0;
        for (int i = 0; i < count; i++) {
            byte[] name = names[i].getBytes(StandardCharsets.UTF_8);
            body.room(name.length + 20);
            body.instant(at[i]);
            body.number(name.length);
            body.copy(name, 0, name.length);
        }
        Undecoded.write(row, body.bytes, 0, body.end);
    }
}

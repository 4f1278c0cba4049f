package twin;

import java.util.Arrays;

/** Prices of purchases in the last thirty days, ascending by time. Decoded only when an event adds one. */
final class Samples {
    private static final int MOST = 1000;
    private static final long WINDOW_MS = 30 * 86_400_000L;
    private static final double WANTED = 300;

    /** Until when they sum up to what is wanted. */
    long until;

    private long[] at = new long[16];
    private double[] values = new double[16];
    private int count;
    private final Undecoded undecoded = new Undecoded();
    private final Input in = new Input();
    private final Output body = new Output();

    void clear() {
        until = Input.NEVER;
        count = 0;
        undecoded.clear();
    }

    void add(double value, long ms, long now) {
        if (undecoded.open(in)) decode();
        forget(now - WINDOW_MS);
        int place = grown();
        for (; place > 0 && at[place - 1] > ms; place--) {
            at[place] = at[place - 1];
            values[place] = values[place - 1];
        }
        at[place] = ms;
        values[place] = value;
        until = untilWanted();
    }

    /** Prices aren't negative, so the latest ones that reach what is wanted decide. */
    private long untilWanted() {
        double sum = 0;
        for (int i = count - 1; i >= 0; i--) {
            sum += values[i];
            if (rounded(sum) >= WANTED) return at[i] + WINDOW_MS;
        }
        return Input.NEVER;
    }

    /** Sums are compared as the language says: rounded to nine digits. */
    static double rounded(double sum) {
        return Math.rint(sum * 1e9) / 1e9;
    }

    private void forget(long horizon) {
        int gone = 0;
        while (gone < count && at[gone] <= horizon) gone++;
        gone = Math.max(gone, count - MOST + 1);
        if (gone == 0) return;
        count -= gone;
        System.arraycopy(at, gone, at, 0, count);
        System.arraycopy(values, gone, values, 0, count);
    }

    private int grown() {
        if (count == at.length) {
            at = Arrays.copyOf(at, count * 2);
            values = Arrays.copyOf(values, count * 2);
        }
        return count++;
    }

    private void decode() {
        count = 0;
        for (int end = undecoded.end(); in.at < end; ) {
            int place = grown();
            at[place] = in.instant();
            values[place] = Double.longBitsToDouble(in.fixed());
        }
    }

    void read(Input row) {
        undecoded.read(row);
    }

    void write(Output row) {
        if (undecoded.write(row)) return;
        body.base = row.base;
        body.end = 0;
        body.room(count * 20);
        for (int i = 0; i < count; i++) {
            body.instant(at[i]);
            body.fixed(Double.doubleToRawLongBits(values[i]));
        }
        Undecoded.write(row, body.bytes, 0, body.end);
    }
}

package twin;

import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;

/** How far the threads are: lines "records transitions timers bad" on standard output, which the benchmark reads. */
final class Progress {
    private static final int LOOK_MS = 5, EVERY = 20;

    private static final class Mine {
        volatile long records;
        long transitions, timers, bad;
    }

    private static final ConcurrentHashMap<String, Mine> ALL = new ConcurrentHashMap<>();
    private static final ThreadLocal<Mine> MINE = ThreadLocal.withInitial(() -> {
        Mine mine = new Mine();
        ALL.put(Thread.currentThread().getName(), mine);
        return mine;
    });

    static void record() {
        Mine mine = MINE.get();
        mine.records = mine.records + 1;
    }

    static void transition() {
        MINE.get().transitions++;
    }

    static void timer() {
        MINE.get().timers++;
    }

    static void bad() {
        MINE.get().bad++;
    }

    /** The first line as soon as there is a record, because the benchmark's time begins there; then ten a second. */
    static void tell(BooleanSupplier goesOn) throws InterruptedException {
        boolean hasBegun = false;
        for (int look = 0; goesOn.getAsBoolean(); look++) {
            Thread.sleep(LOOK_MS);
            if (ALL.isEmpty() || hasBegun && look % EVERY != 0) continue;
            hasBegun = true;
            System.out.println(line());
        }
    }

    private static String line() {
        long records = 0, transitions = 0, timers = 0, bad = 0;
        for (Mine mine : ALL.values()) {
            records += mine.records;
            transitions += mine.transitions;
            timers += mine.timers;
            bad += mine.bad;
        }
        return records + " " + transitions + " " + timers + " " + bad;
    }
}

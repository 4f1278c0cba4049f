package twin;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/** One partition: timers that are due fire first, then the record is applied, then the audiences are decided. */
final class Segments implements Processor<byte[], byte[], byte[], byte[]> {
    static final String ROWS = "rows", TIMERS = "timers";
    private static final int FIRED_AT_ONCE = 20_000;
    private static final Duration LOOK_FOR_TIMERS = Duration.ofSeconds(1);
    private static final byte[] NOTHING = {1};

    private ProcessorContext<byte[], byte[]> context;
    /** User to row, and (instant, user) to nothing. */
    private KeyValueStore<Bytes, byte[]> rows, timers;

    private final Row row = new Row();
    private final Audiences audiences = new Audiences();
    private final Event event = new Event();
    private final Transitions transitions = new Transitions();
    private long streamTime = Long.MIN_VALUE, firedUpTo, seen, seenAtLastLook;

    @Override
    public void init(ProcessorContext<byte[], byte[]> given) {
        context = given;
        rows = given.getStateStore(ROWS);
        timers = given.getStateStore(TIMERS);
        given.schedule(LOOK_FOR_TIMERS, PunctuationType.WALL_CLOCK_TIME, at -> fireDue());
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        seen++;
        Progress.record();
        streamTime = Math.max(Math.max(streamTime, context.currentStreamTimeMs()), record.timestamp());
        try {
            event.read(record.value());
        } catch (java.io.IOException e) {
            Progress.bad(); // a dead letter, in earnest
            return;
        }
        Bytes key = Bytes.wrap(record.key());
        byte[] stored = rows.get(key);
        if (stored == null) row.clear(streamTime);
        else row.decode(stored);
        long now = Math.max(streamTime, row.now);
        if (row.timer != Row.NEVER && row.timer < now) {
            audiences.look(row);
            fire(record.key(), now);
        }
        row.now = now;
        row.take(event, event.hasTime ? Math.min(event.time, now) : now);
        audiences.look(row);
        decide(record.key(), now, record.value());
        row.timer = audiences.nextTimer(now);
        index(key);
        rows.put(key, row.encode());
    }

    /** The row's timers before an instant, each at its own. */
    private void fire(byte[] user, long before) {
        while (row.timer != Row.NEVER && row.timer < before) {
            long at = row.now = row.timer;
            decide(user, at, null);
            row.timer = audiences.nextTimer(at);
        }
    }

    /** Where a rule's truth differs from the membership there is a transition. */
    private void decide(byte[] user, long at, byte[] cause) {
        int truths = audiences.truths(at);
        for (int changed = truths ^ row.inside; changed != 0; changed &= changed - 1) {
            int audience = Integer.numberOfTrailingZeros(changed);
            boolean isEnter = (truths >>> audience & 1) == 1;
            long entered = isEnter ? at : row.since[audience];
            long exit = isEnter ? audiences.exit(audience) : Row.NEVER;
            row.since[audience] = at;
            int seq = ++row.seq[audience];
            context.forward(transitions.record(user, audience, isEnter, seq, at, entered, exit, event, cause));
            Progress.transition();
        }
        row.inside = truths;
    }

    /** An entry in the timer index, unless one that is early enough is there (it is moved on when it fires). */
    private void index(Bytes key) {
        if (row.timer == Row.NEVER || row.indexed != Row.NEVER && row.indexed <= row.timer) return;
        timers.put(timerKey(row.timer, key.get()), NOTHING);
        row.indexed = row.timer;
    }

    /** Timers of users without a record. While no record comes, those at the stream time itself fire, too. */
    private void fireDue() {
        if (streamTime == Long.MIN_VALUE) return;
        long before = seen == seenAtLastLook ? streamTime + 1 : streamTime;
        seenAtLastLook = seen;
        if (before <= firedUpTo) return;
        List<byte[]> due = due(before);
        for (byte[] entry : due) fireEntry(entry, before);
        if (due.size() < FIRED_AT_ONCE) firedUpTo = before;
    }

    private List<byte[]> due(long before) {
        List<byte[]> found = new ArrayList<>();
        Bytes from = timerKey(firedUpTo, new byte[0]), to = timerKey(before, new byte[0]);
        try (KeyValueIterator<Bytes, byte[]> entries = timers.range(from, to)) {
            while (entries.hasNext() && found.size() < FIRED_AT_ONCE) {
                KeyValue<Bytes, byte[]> entry = entries.next();
                if (instantOf(entry.key.get()) < before) found.add(entry.key.get());
            }
        }
        return found;
    }

    private void fireEntry(byte[] entry, long before) {
        timers.delete(Bytes.wrap(entry));
        byte[] user = Arrays.copyOfRange(entry, 8, entry.length);
        Bytes key = Bytes.wrap(user);
        byte[] stored = rows.get(key);
        if (stored == null) return;
        row.decode(stored);
        if (row.indexed != instantOf(entry)) return; // an earlier one took its place
        row.indexed = Row.NEVER;
        audiences.look(row);
        fire(user, before);
        index(key);
        rows.put(key, row.encode());
        Progress.timer();
    }

    private static Bytes timerKey(long at, byte[] user) {
        byte[] key = new byte[8 + user.length];
        for (int i = 0; i < 8; i++) key[i] = (byte) (at >>> 56 - 8 * i);
        System.arraycopy(user, 0, key, 8, user.length);
        return Bytes.wrap(key);
    }

    private static long instantOf(byte[] key) {
        long found = 0;
        for (int i = 0; i < 8; i++) found = found << 8 | key[i] & 0xff;
        return found;
    }
}

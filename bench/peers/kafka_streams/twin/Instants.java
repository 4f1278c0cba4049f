package twin;

import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.time.OffsetDateTime;

/** RFC 3339 in UTC with milliseconds. Java's own formatter takes longer than all the rest of a transition. */
final class Instants {
    static final int LENGTH = 24;
    private static final long DAY_MS = 86_400_000L;

    private long textOf = Long.MIN_VALUE;
    private final byte[] text = new byte[11];

    /** The usual forms by hand, all others by Java. */
    static long parse(char[] text, int from, int length) {
        boolean isUsual = (length == 20 || length == 24) && text[from + 10] == 'T' && text[from + length - 1] == 'Z';
        if (!isUsual) return OffsetDateTime.parse(new String(text, from, length)).toInstant().toEpochMilli();
        int year = two(text, from) * 100 + two(text, from + 2);
        long hours = days(year, two(text, from + 5), two(text, from + 8)) * 24 + two(text, from + 11);
        long ms = ((hours * 60 + two(text, from + 14)) * 60 + two(text, from + 17)) * 1000;
        return length == 24 ? ms + (text[from + 20] - '0') * 100 + two(text, from + 21) : ms;
    }

    private static int two(char[] text, int at) {
        return (text[at] - '0') * 10 + text[at + 1] - '0';
    }

    /** Days since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
    private static long days(int year, int month, int day) {
        int y = month <= 2 ? year - 1 : year;
        int era = Math.floorDiv(y, 400), ofEra = y - era * 400;
        int ofYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
        return era * 146_097L + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468;
    }

    /** Writes LENGTH bytes. */
    void format(long ms, byte[] out, int at) {
        long day = Math.floorDiv(ms, DAY_MS);
        int rest = (int) (ms - day * DAY_MS);
        if (day != textOf) {
            byte[] date = LocalDate.ofEpochDay(day).toString().getBytes(StandardCharsets.US_ASCII);
            System.arraycopy(date, 0, text, 0, 10);
            text[10] = 'T';
            textOf = day;
        }
        System.arraycopy(text, 0, out, at, 11);
        two(out, at + 11, rest / 3_600_000, ':');
        two(out, at + 14, rest / 60_000 % 60, ':');
        two(out, at + 17, rest / 1000 % 60, '.');
        int part = rest % 1000;
        out[at + 20] = (byte) ('0' + part / 100);
        two(out, at + 21, part % 100, 'Z');
    }

    private static void two(byte[] out, int at, int number, char then) {
        out[at] = (byte) ('0' + number / 10);
        out[at + 1] = (byte) ('0' + number % 10);
        out[at + 2] = (byte) then;
    }
}

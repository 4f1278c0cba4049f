package twin;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.processor.api.Record;

/**
 * Transitions as docs/contracts.md has them: JSON body, CloudEvents headers, the instant as timestamp.
 *
 * <p>The id is MD5 of what ours is BLAKE2b of, because Java brings no BLAKE2b.
 */
final class Transitions {
    private static final byte[] VERSION = ascii("1.0"), JSON = ascii("application/json");
    private static final byte[] ENTER = ascii("turnstile.audience.enter"), EXIT = ascii("turnstile.audience.exit");
    private static final byte[] SOURCE = ascii("/turnstile/default"), HEX = ascii("0123456789abcdef");
    private static final int MOST_PROPERTIES_BYTES = 4096;

    /** Of each audience: what is hashed before the number, and the body between the event and the user. */
    private static final byte[][] HASHED = new byte[Audiences.COUNT][], NAMED = new byte[Audiences.COUNT][];

    static {
        for (int i = 0; i < Audiences.COUNT; i++) {
            HASHED[i] = ascii("default\0" + Audiences.IDS[i] + "\0");
            NAMED[i] = ascii("\",\"project\":\"default\",\"audience\":\"" + Audiences.IDS[i] + "\",\"audience_name\":\""
                    + Audiences.NAMES[i] + "\",\"audience_version\":1,\"user_id\":\"");
        }
    }

    private final MessageDigest digest;
    private final Instants instants = new Instants();
    private final Output out = new Output();

    Transitions() {
        try {
            digest = MessageDigest.getInstance("MD5");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Without a cause (the record's value) time is the cause. Instants are NEVER where there are none. */
    Record<byte[], byte[]> record(
            byte[] user, int audience, boolean isEnter, int seq, long at, long entered, long exit, Event event,
            byte[] cause) {
        byte[] number = ascii(Integer.toString(seq)), id = id(user, audience, number);
        out.end = 0;
        out.room(1024 + 6 * user.length + (cause == null ? 0 : 6 * cause.length));
        text("{\"id\":\"");
        bytes(id);
        text(isEnter ? "\",\"event\":\"enter" : "\",\"event\":\"exit");
        bytes(NAMED[audience]);
        json(user);
        text("\",\"seq\":");
        bytes(number);
        text(",\"at\":");
        int time = out.end + 1;
        instant(at);
        if (cause == null) text(",\"cause\":\"time\",\"trigger\":null");
        else trigger(event, at);
        text(",\"entered_at\":");
        instant(entered);
        text(",\"exit_at\":");
        instant(exit);
        text("}");
        RecordHeaders headers = new RecordHeaders();
        headers.add("ce_specversion", VERSION);
        headers.add("ce_id", id);
        headers.add("ce_type", isEnter ? ENTER : EXIT);
        headers.add("ce_source", SOURCE);
        headers.add("ce_subject", user);
        headers.add("ce_time", Arrays.copyOfRange(out.bytes, time, time + Instants.LENGTH));
        headers.add("content-type", JSON);
        int length = event.propertiesTo - event.propertiesFrom;
        if (cause != null && length > 0 && length <= MOST_PROPERTIES_BYTES) {
            byte[] properties = Arrays.copyOfRange(cause, event.propertiesFrom, event.propertiesTo);
            headers.add("trigger.properties", properties);
        }
        return new Record<>(user, out.copyOfAll(), at, headers);
    }

    private byte[] id(byte[] user, int audience, byte[] number) {
        digest.update(HASHED[audience]);
        digest.update(number);
        digest.update((byte) 0);
        byte[] hash = digest.digest(user), id = new byte[32];
        for (int i = 0; i < 16; i++) {
            id[2 * i] = HEX[hash[i] >> 4 & 15];
            id[2 * i + 1] = HEX[hash[i] & 15];
        }
        return id;
    }

    private void trigger(Event event, long at) {
        text(",\"cause\":\"event\",\"trigger\":{\"event\":\"");
        json(event.name.getBytes(StandardCharsets.UTF_8));
        text("\",\"id\":");
        if (event.id == null) {
            text("null");
        } else {
            text("\"");
            json(event.id.getBytes(StandardCharsets.UTF_8));
            text("\"");
        }
        text(",\"time\":");
        instant(event.hasTime ? event.time : at);
        text("}");
    }

    private void instant(long ms) {
        if (ms == Row.NEVER) {
            text("null");
            return;
        }
        text("\"");
        instants.format(ms, out.bytes, out.end);
        out.end += Instants.LENGTH;
        text("\"");
    }

    private void json(byte[] text) {
        for (byte each : text) {
            if (each >= 0 && each < 32) {
                text(String.format("\\u%04x", each));
                continue;
            }
            if (each == '"' || each == '\\') out.bytes[out.end++] = '\\';
            out.bytes[out.end++] = each;
        }
    }

    private void text(String text) {
        for (int i = 0; i < text.length(); i++) out.bytes[out.end++] = (byte) text.charAt(i);
    }

    private void bytes(byte[] text) {
        out.copy(text, 0, text.length);
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }
}

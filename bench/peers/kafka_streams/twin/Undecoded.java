package twin;

/** A part of a row that lies in the row's bytes until somebody needs it; most events don't. */
final class Undecoded {
    private byte[] bytes;
    private int from, length;
    private long base;

    void clear() {
        bytes = null;
    }

    int end() {
        return from + length;
    }

    /** Sets the input to its beginning, once; false: it is decoded already, or there is nothing. */
    boolean open(Input in) {
        if (bytes == null) return false;
        in.bytes = bytes;
        in.at = from;
        in.base = base;
        bytes = null;
        return true;
    }

    void read(Input row) {
        length = (int) row.number();
        from = row.at;
        bytes = row.bytes;
        base = row.base;
        row.at += length;
    }

    /** Writes it as it was read; false: it was decoded. */
    boolean write(Output row) {
        if (bytes == null) return false;
        write(row, bytes, from, length);
        return true;
    }

    static void write(Output row, byte[] bytes, int from, int length) {
        row.room(length + 10);
        row.number(length);
        row.copy(bytes, from, length);
    }
}

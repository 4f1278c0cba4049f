package twin;

/** One user: the latest times for each kind of event that the audiences ask about, sums, memberships, timers. */
final class Row {
    static final long NEVER = Input.NEVER;

    final Times any = new Times(20), pages = new Times(5), appPages = new Times(3), views = new Times(3);
    final Times shoeViews = new Times(2), searches = new Times(3), appSearches = new Times(3), carts = new Times(3);
    final Times carts250 = new Times(1), carts300 = new Times(1), purchases = new Times(2);
    private final Times[] all = {
        any, pages, appPages, shoeViews, views, carts250, carts300, searches, purchases, carts, appSearches
    };
    final Categories categories = new Categories();
    final Samples prices = new Samples();
    double cartSum;

    /** The user's own stream time. */
    long now;
    /** The next timer, and the one that the timer index has. */
    long timer, indexed;

    /** A bit for each audience that the user is in. */
    int inside;
    final int[] seq = new int[Audiences.COUNT];
    final long[] since = new long[Audiences.COUNT];

    private long base;
    private final Input in = new Input();
    private final Output out = new Output();

    /** A new user's. */
    void clear(long ms) {
        base = now = ms;
        timer = indexed = NEVER;
        for (Times each : all) each.count = 0;
        categories.clear();
        prices.clear();
        cartSum = 0;
        inside = 0;
        java.util.Arrays.fill(seq, 0);
        java.util.Arrays.fill(since, 0);
    }

    void take(Event event, long ms) {
        any.add(ms);
        switch (event.name) {
            case "page_view" -> {
                pages.add(ms);
                if ("app".equals(event.channel)) appPages.add(ms);
            }
            case "product_view" -> {
                views.add(ms);
                if ("shoes".equals(event.category)) shoeViews.add(ms);
                if (event.category != null) categories.add(event.category, ms);
            }
            case "search" -> {
                searches.add(ms);
                if ("app".equals(event.channel)) appSearches.add(ms);
            }
            case "add_to_cart" -> {
                carts.add(ms);
                if (event.hasPrice) takeCart(event.price, ms);
            }
            case "purchase" -> {
                purchases.add(ms);
                if (event.hasPrice) prices.add(event.price, ms, now);
            }
            default -> {}
        }
    }

    private void takeCart(double price, long ms) {
        if (price >= 250) carts250.add(ms);
        if (price >= 300) carts300.add(ms);
        cartSum += price;
    }

    void decode(byte[] bytes) {
        in.bytes = bytes;
        in.at = 0;
        base = in.base = in.fixed();
        now = in.instant();
        timer = in.instantOrNever();
        indexed = in.instantOrNever();
        prices.until = in.instantOrNever();
        categories.until = in.instantOrNever();
        for (Times each : all) each.read(in);
        cartSum = Double.longBitsToDouble(in.fixed());
        inside = 0;
        int numbered = (int) in.number();
        for (int audience = 0; audience < Audiences.COUNT; audience++) {
            seq[audience] = 0;
            if ((numbered >>> audience & 1) == 0) continue;
            seq[audience] = (int) in.number();
            since[audience] = in.instant();
            inside |= (seq[audience] & 1) << audience; // odd numbers are enters
        }
        categories.read(in);
        prices.read(in);
    }

    byte[] encode() {
        out.end = 0;
        out.room(2048);
        out.base = base;
        out.fixed(base);
        out.instant(now);
        out.instantOrNever(timer);
        out.instantOrNever(indexed);
        out.instantOrNever(prices.until);
        out.instantOrNever(categories.until);
        for (Times each : all) each.write(out);
        out.fixed(Double.doubleToRawLongBits(cartSum));
        int numbered = 0;
        for (int audience = 0; audience < Audiences.COUNT; audience++) {
            if (seq[audience] != 0) numbered |= 1 << audience;
        }
        out.number(numbered);
        for (int audience = 0; audience < Audiences.COUNT; audience++) {
            if (seq[audience] == 0) continue;
            out.number(seq[audience]);
            out.instant(since[audience]);
        }
        categories.write(out);
        prices.write(out);
        return out.copyOfAll();
    }
}

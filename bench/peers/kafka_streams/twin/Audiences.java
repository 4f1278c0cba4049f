package twin;

/**
 * The rules of bench/workload/audiences.yaml by hand: who is in, until when, and what changes next by time alone.
 *
 * <p>Each window has an instant at which it runs out. Everything else follows from these instants.
 */
final class Audiences {
    static final String[] IDS = {
        "active_today", "active_week", "frequent_visitor", "app_reader", "shoe_looker", "window_shopper", "dear_cart",
        "searcher", "search_without_find", "buyer", "repeat_buyer", "big_spender", "premium_cart", "broad_taste",
        "cart_filler", "lapsed_buyer", "valuable_cart", "mobile_searcher", "shopper", "loyal"
    };
    static final String[] NAMES = {
        "Active today", "Active this week", "Frequent visitor", "Reads in the app", "Looks at shoes", "Window shopper",
        "Something dear in the cart and no purchase", "Searcher", "Searched and found nothing", "Buyer",
        "Repeat buyer", "Big spender", "Premium cart", "Broad taste", "Cart filler", "Lapsed buyer", "Valuable cart",
        "Mobile searcher", "Shopper", "Loyal"
    };
    static final int COUNT = 20;

    private static final long M = 60_000L, H = 60 * M, D = 24 * H;

    private boolean hasBought, isValuable;
    private long active, activeWeek, visits, appReads, shoes, views3, viewed, boughtToday, boughtNow, boughtTwice, spent;
    private long dear, premium, taste, searched, searched3, filled, appSearches;

    /** Call it whenever the row has taken an event, or another row is looked at. */
    void look(Row row) {
        hasBought = row.purchases.count > 0;
        isValuable = Samples.rounded(row.cartSum) >= 1000;
        active = row.any.until(5, D);
        activeWeek = row.any.until(20, 7 * D);
        visits = row.pages.until(5, H);
        appReads = row.appPages.until(3, D);
        shoes = row.shoeViews.until(2, 6 * H);
        views3 = row.views.until(3, H);
        viewed = row.views.until(1, 30 * M);
        boughtToday = row.purchases.until(1, D);
        boughtNow = row.purchases.until(1, H);
        boughtTwice = row.purchases.until(2, 30 * D);
        spent = row.prices.until;
        dear = row.carts250.until(1, H);
        premium = row.carts300.until(1, D);
        taste = row.categories.until;
        searched = row.searches.until(2, 30 * M);
        searched3 = row.searches.until(3, 30 * M);
        filled = row.carts.until(3, 2 * H);
        appSearches = row.appSearches.until(3, D);
    }

    /** A bit for each audience whose rule holds. */
    int truths(long at) {
        int found = bit(0, active > at) | bit(1, activeWeek > at) | bit(2, visits > at) | bit(3, appReads > at);
        found |= bit(4, shoes > at) | bit(5, views3 > at && boughtToday <= at) | bit(6, dear > at && boughtNow <= at);
        found |= bit(7, searched > at) | bit(8, searched3 > at && viewed <= at) | bit(9, hasBought);
        found |= bit(10, boughtTwice > at) | bit(11, spent > at) | bit(12, premium > at) | bit(13, taste > at);
        found |= bit(14, filled > at) | bit(15, hasBought && active <= at) | bit(16, isValuable);
        found |= bit(17, appSearches > at) | bit(18, boughtToday > at || premium > at);
        return found | bit(19, boughtTwice > at && visits > at);
    }

    private static int bit(int audience, boolean holds) {
        return holds ? 1 << audience : 0;
    }

    /** The first instant after this one at which an audience changes by time alone. */
    long nextTimer(long at) {
        long best = Long.MAX_VALUE;
        best = first(best, active, at); // lapsed_buyer changes with it; loyal with one of two that follow
        best = first(best, activeWeek, at);
        best = first(best, visits, at);
        best = first(best, appReads, at);
        best = first(best, shoes, at);
        best = first(best, searched, at);
        best = first(best, boughtTwice, at);
        best = first(best, spent, at);
        best = first(best, premium, at);
        best = first(best, taste, at);
        best = first(best, filled, at);
        best = first(best, appSearches, at);
        best = firstOfButNot(best, views3, boughtToday, at);
        best = firstOfButNot(best, dear, boughtNow, at);
        best = firstOfButNot(best, searched3, viewed, at);
        best = first(best, Math.max(boughtToday, premium), at);
        return best == Long.MAX_VALUE ? Row.NEVER : best;
    }

    private static long first(long best, long until, long at) {
        return until > at && until < best ? until : best;
    }

    private static long firstOfButNot(long best, long yes, long no, long at) {
        if (yes <= at) return best;
        if (no <= at) return Math.min(best, yes);
        return no < yes ? Math.min(best, no) : best;
    }

    /** When a member leaves if nothing more happens; NEVER: time alone doesn't end it. */
    long exit(int audience) {
        return switch (audience) {
            case 0 -> active;
            case 1 -> activeWeek;
            case 2 -> visits;
            case 3 -> appReads;
            case 4 -> shoes;
            case 5 -> views3;
            case 6 -> dear;
            case 7 -> searched;
            case 8 -> searched3;
            case 10 -> boughtTwice;
            case 11 -> spent;
            case 12 -> premium;
            case 13 -> taste;
            case 14 -> filled;
            case 17 -> appSearches;
            case 18 -> Math.max(boughtToday, premium);
            case 19 -> Math.min(boughtTwice, visits);
            default -> Row.NEVER;
        };
    }
}

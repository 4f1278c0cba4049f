"""Who was in an audience at one instant, in all partitions, from followed changelogs."""

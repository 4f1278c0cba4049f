"""Cases that an audience must answer as their author says."""

"""Why a user is in an audience, in sentences and as a document."""

"""The process ``turnstile serve``: a reader, which answers lookups from changelogs that it follows."""

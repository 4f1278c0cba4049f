"""From records of the transitions topic to deliveries: read, selected, grouped, the body made."""

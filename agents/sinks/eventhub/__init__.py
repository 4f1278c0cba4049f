"""Azure Event Hub."""

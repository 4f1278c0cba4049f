"""A stand-in for Azure Event Hubs on loopback: AMQP 1.0 for the real SDK, with faults to order."""

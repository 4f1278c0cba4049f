"""Where lists go: files in object stores and on SFTP servers, topics of Kafka; and what modules are told."""

"""Topics as the operator sees them: state, advice, repairs, the topology."""

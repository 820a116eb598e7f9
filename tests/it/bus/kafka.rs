//! What holds on Kafka alone.

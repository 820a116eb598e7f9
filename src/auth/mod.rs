//! API keys, device secrets and bearer tokens.

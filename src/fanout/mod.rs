//! Stage 3: dispatches become batches of sends.

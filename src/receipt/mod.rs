//! Stage 4: outcomes and receipts become the funnel.

//! The stores: one folder per question.

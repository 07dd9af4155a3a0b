//! Stand-in until the module arrives: only the words that settings need.
pub mod metadata;
pub mod rest;

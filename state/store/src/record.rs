//! Stored records.

//! What every service shares: host, HTTP conventions, and the store.

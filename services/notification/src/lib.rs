//! The notification service: mails about orders.

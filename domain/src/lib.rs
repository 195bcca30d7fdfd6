//! What Crossdock knows: the nouns, in the order data meets them, and the decisions about them.
//!
//! Nothing here does I/O. Time, randomness and answers come in as values, so that a table of cases is a whole test.
//! Start with [`delivery`]: a delivery is the duty everything else serves.

pub mod alert;
pub mod audit;
pub mod breaker;
pub mod canonical;
pub mod certificate;
pub mod comparison;
pub mod connection;
pub mod counter_example;
pub mod country;
pub mod currency;
pub mod delivery;
pub mod drift;
pub mod edit;
pub mod exception;
pub mod exception_group;
pub mod fault;
pub mod fix;
pub mod flow;
pub mod http;
pub mod id;
pub mod inventory;
pub mod lookup_table;
pub mod mapping;
pub mod message;
pub mod poll;
pub mod proof;
pub mod protocol;
pub mod recipe;
pub mod reconciliation;
pub mod record;
pub mod replay;
pub mod retry_budget;
pub mod scope;
pub mod search_key;
pub mod secret;
pub mod sunset;
pub mod swap;
pub mod task;
pub mod three_way_match;
pub mod timeline;
pub mod undo;
pub mod usage;
pub mod value;

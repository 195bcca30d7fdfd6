//! Shops in virtual time: what they send for weeks, and what is said of it.

mod rules;
mod shops;
mod simulation;

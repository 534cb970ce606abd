//! The page of a ledger: what it says, that it is well-formed, and how a browser shows it.

mod browser;
mod colours;
mod example;
mod page;
mod rendering;
mod xml;

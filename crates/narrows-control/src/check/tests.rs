//! Every protocol against listeners that play a script, on threads of their own.

mod agent;
mod bytes;
mod databases;
mod harness;
mod http;
mod mail;
mod noise;
mod others;

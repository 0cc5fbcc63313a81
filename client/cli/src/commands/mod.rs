//! One module a command.

pub mod attest;
pub mod audit;
pub mod bench;
mod bring;
pub mod config;
pub mod creator;
mod creator_jobs;
pub mod credit;
pub mod demo;
pub mod deposits;
pub mod dev;
pub mod dispute;
pub mod doctor;
mod explain;
mod features;
pub mod gateway;
pub mod govern;
pub mod job;
pub mod market;
pub mod model;
pub mod rate;
mod sentences;
mod split_report;
pub mod versions;
pub mod wallet;
pub mod web;
pub mod worker;

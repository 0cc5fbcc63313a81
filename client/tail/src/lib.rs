//! The creator's service: release head keys, open features, run the tail, seal results, settle.

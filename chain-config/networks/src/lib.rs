//! One TOML a network: endpoints, contract, trusted measurements, windows.

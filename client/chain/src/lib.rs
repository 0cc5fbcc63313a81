//! Typed access to the contract over subxt, behind capability traits.

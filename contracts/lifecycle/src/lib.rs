//! The marketplace as a pure state machine: state, command and block in, state and effects out.

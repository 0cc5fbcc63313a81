//! The creator's bench: import, quantise, split, report, seal; and the open preamble.

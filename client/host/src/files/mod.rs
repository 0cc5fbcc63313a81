//! Files of a user's home. Each is its owner's alone; a change is there, whole and for good, when the call returns.

#[cfg(not(target_arch = "wasm32"))]
mod disk;
#[cfg(any(target_arch = "wasm32", test))]
mod memory;

#[cfg(not(target_arch = "wasm32"))]
pub use disk::{
    Lock, create, create_whole, list, lock, make_folder, read, read_at_most, remove, remove_folder, replace, share,
    try_lock,
};
#[cfg(target_arch = "wasm32")]
pub use memory::{
    Lock, Sink, create, create_whole, list, lock, make_folder, mount, read, read_at_most, remove, remove_folder,
    replace, share, try_lock, unmount,
};

#[cfg(test)]
mod tests;

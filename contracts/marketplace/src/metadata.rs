//! The contract's metadata, as its build prints it.

/// Prints it as JSON.
///
/// # Errors
/// What writing JSON gives; metadata are none that cannot be written.
pub fn print() -> Result<(), serde_json::Error> {
    unsafe extern "Rust" {
        fn __ink_generate_metadata() -> ink::metadata::InkProject;
    }
    // SAFETY: ink! defines this function in every contract built with `std`, with this very signature.
    let metadata = unsafe { __ink_generate_metadata() };
    println!("{}", serde_json::to_string_pretty(&metadata)?);
    Ok(())
}

//! Writes the JavaScript beside the page's WebAssembly: `encompute-web-bind FILE.wasm FOLDER`.

use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(file), Some(folder)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: encompute-web-bind FILE.wasm FOLDER");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    let written = bindgen.input_path(&file).web(true).and_then(|bindgen| bindgen.typescript(true).generate(&folder));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bind {}: {error:#}", file.display());
            ExitCode::FAILURE
        }
    }
}

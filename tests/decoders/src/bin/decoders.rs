//! What `xtask fuzz` asks: `decoders seeds FOLDER` writes every target's seeds and prints its limits,
//! `decoders share FOLDER` prints how many of the inputs that fuzzing kept are accepted.

use encompute_decoders::{TARGETS, corpus, seeds};
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (act, folder) = (arguments.next(), arguments.next().map(PathBuf::from));
    match (act.as_ref().and_then(|act| act.to_str()), folder) {
        (Some("seeds"), Some(folder)) => write_seeds(&folder),
        (Some("share"), Some(folder)) => print_share(&folder),
        _ => Err("decoders: `seeds FOLDER` or `share FOLDER`".into()),
    }
}

/// A line a target: its name, most bytes of an input, most KiB of memory.
fn write_seeds(folder: &Path) -> Result<(), Box<dyn Error>> {
    for target in TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for seed in [seeds(target)?, corpus("regressions", target)?].concat() {
            fs::write(folder.join(&seed.name), &seed.bytes)?;
        }
        println!("{} {} {}", target.name, target.longest_bytes, target.memory_kib.max(target.judge_memory_kib));
    }
    Ok(())
}

/// A share near nothing would mean that fuzzing knocks at the door and never gets in.
fn print_share(folder: &Path) -> Result<(), Box<dyn Error>> {
    for target in TARGETS {
        let (mut accepted, mut all) = (0, 0);
        for entry in fs::read_dir(folder.join(target.name)).into_iter().flatten() {
            all += 1;
            accepted += u32::from(target.accepts(&fs::read(entry?.path())?));
        }
        println!("{} {accepted} of {all} accepted", target.name);
    }
    Ok(())
}

//! A user's file, read as the model's preamble says.

use crate::{
    commands::market::Listing,
    context::{Context, blob_failure, under},
    failure::{Doing, Exit, Failure, Outcome},
    output,
};
use encompute_model::{
    Preamble, Reading,
    preamble::{ChosenSlice, FILE_LIMIT_BYTES, SliceNumber, WantedBlob},
};
use encompute_protocol::{BlobDigest, wire::Message};
use encompute_store::{Blobs, ByteLimit};
use std::{fs::File, io::Read, path::Path};
use zeroize::Zeroizing;

/// Stands for standard input.
const STDIN: &str = "-";

/// The tensor that the model's preamble makes of a file, or of what comes on standard input where it is named `-`; of a
/// scan, of the slice that is wanted or the middle one.
///
/// # Errors
/// [`Exit::NotFound`] for a file that is not there, [`Exit::Usage`] for one that the preamble refuses, the store's for a
/// lexicon that cannot be fetched.
pub async fn read(context: &Context, listing: &Listing, path: &Path, wanted: Option<SliceNumber>) -> Outcome<Vec<u8>> {
    let preamble = Preamble::from_wire(listing.manifest.preamble.as_slice())
        .doing(Exit::Verification, "read the model's preamble")?;
    let named = if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() };
    let file = Zeroizing::new(bytes(path, &named)?);
    let blob = match preamble.wanted_blob() {
        Some(wanted) => Some(lexicon(context, wanted).await?),
        None => None,
    };
    let reader = preamble.reader(blob.as_deref()).doing(Exit::Verification, "prepare to read")?;
    let reading = match wanted {
        Some(slice) => reader.read_slice(&file, slice),
        None => reader.read(&file),
    };
    let Reading { tensor, left_out, slice } = reading.doing(Exit::Usage, &format!("read {named}"))?;
    if let Some(ChosenSlice { number, slices }) = slice {
        let which = if wanted.is_some() { "" } else { ", its middle; another with --slice" };
        output::say(&format!("{named}: slice {number} of {slices}{which}"));
    }
    if left_out > 0 {
        let kept = tensor.shape()[1].saturating_sub(2);
        output::say(&format!(
            "{named} is longer than the {kept} word pieces that the model reads; {left_out} are left out"
        ));
    }
    Ok(tensor.values().to_vec())
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

/// All bytes, if they are no more than any preamble reads.
fn bytes(path: &Path, named: &str) -> Outcome<Vec<u8>> {
    let doing = format!("read {named}");
    let mut file = Vec::new();
    // One byte more than is allowed says that there are too many.
    let limit = FILE_LIMIT_BYTES as u64 + 1;
    let read = match is_stdin(path) {
        true => std::io::stdin().lock().take(limit).read_to_end(&mut file),
        false => File::open(path).doing(Exit::NotFound, &doing)?.take(limit).read_to_end(&mut file),
    };
    read.doing(Exit::Failed, &doing)?;
    match file.len() > FILE_LIMIT_BYTES {
        true => {
            Err(Failure::new(Exit::Usage, format!("{named} has more than the {FILE_LIMIT_BYTES} bytes that are read")))
        }
        false => Ok(file),
    }
}

/// A lexicon: from this home if it is kept here and whole, else from the gateway, once.
async fn lexicon(context: &Context, wanted: WantedBlob) -> Outcome<Vec<u8>> {
    let folder = under(context.home(), &["lexicons"]);
    let path = folder.join(wanted.digest.to_string());
    if let Some(bytes) = kept(&path, wanted) {
        return Ok(bytes);
    }
    output::say(&format!("fetching the model's lexicon, {:.1} MB, once …", f64::from(wanted.bytes) / 1e6));
    let fetched = context.gateway()?.get(wanted.digest, ByteLimit(wanted.bytes.into())).await;
    let bytes = fetched.map_err(|error| blob_failure("fetch the model's lexicon", &error))?.to_vec();
    std::fs::create_dir_all(&folder).doing(Exit::Failed, &format!("make the folder {}", folder.display()))?;
    output::file(&path, &bytes)?;
    Ok(bytes)
}

fn kept(path: &Path, wanted: WantedBlob) -> Option<Vec<u8>> {
    let length = std::fs::metadata(path).ok()?.len();
    let bytes = (length == u64::from(wanted.bytes)).then(|| std::fs::read(path).ok())??;
    (BlobDigest::of(&bytes) == wanted.digest).then_some(bytes)
}

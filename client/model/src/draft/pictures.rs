//! Grey or coloured pictures, a folder for each class.

use super::{CALIBRATING, DraftError, Parts, SampleFiles, Wishes, classes, parted};
use crate::{
    preamble::{FILE_LIMIT_BYTES, Fit, ImagePreamble, SIDE_LIMIT_PIXELS, Tensor, sheet_file},
    samples::spread,
};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// One picture as the model reads it.
struct Picture {
    tensor: Tensor,
    class: String,
}

pub(super) fn parts(files: &SampleFiles, wishes: &Wishes, shape: [usize; 3]) -> Result<Parts, DraftError> {
    let [channels, height, width] = shape;
    let input = || DraftError::Input { found: format!("{shape:?}") };
    let side = |side: usize| u16::try_from(side).map_err(|_| input());
    if channels == 3 && wishes.ink_box.is_some() {
        return Err(DraftError::Ink);
    }
    let preamble = ImagePreamble {
        channels: u8::try_from(channels).map_err(|_| input())?,
        height: side(height)?,
        width: side(width)?,
        fit: wishes.ink_box.map_or(Fit::Whole, |box_pixels| Fit::InkCentred { box_pixels }),
        scale_numerator: wishes.scale[0],
        scale_denominator: wishes.scale[1],
    };
    let pictures = read(&files.samples, &preamble)?;
    let held_out = files.held_out.as_deref().map(|path| read(path, &preamble)).transpose()?;
    let all = || pictures.iter().chain(held_out.iter().flatten());
    let found: Vec<String> = all().map(|picture| picture.class.clone()).collect();
    let labels = classes(wishes, &files.samples, &found)?;
    let (kept, held_out) = parted(pictures, held_out);
    let most = (SIDE_LIMIT_PIXELS as usize / height) * (SIDE_LIMIT_PIXELS as usize / width);
    let sheet = |pictures: &[&Picture]| {
        let tiles: Vec<&Tensor> = pictures.iter().map(|picture| &picture.tensor).collect();
        let file = if tiles.len() > most { None } else { sheet_file(&tiles) };
        file.ok_or(DraftError::TooMany { found: tiles.len(), height, width, most })
    };
    let numbers = |pictures: &[Picture]| -> Vec<u8> {
        let class = |picture: &Picture| labels.iter().position(|label| *label == picture.class).unwrap_or(0);
        pictures.iter().map(|picture| format!("{}\n", class(picture))).collect::<String>().into_bytes()
    };
    let fit = match preamble.fit {
        Fit::Whole => "fit = \"whole\"\n".to_owned(),
        Fit::InkCentred { box_pixels } => format!("fit = \"ink-centred\"\nbox = {box_pixels}\n"),
    };
    let [numerator, denominator] = wishes.scale;
    Ok(Parts {
        preamble: format!(
            "[preamble.image]\nchannels = {channels}\nheight = {height}\nwidth = {width}\n{fit}\
             scale = [{numerator}, {denominator}]      # the float model's input is the byte times this\n"
        ),
        data: "calibration = \"calibration.png\"\nheld_out = \"held-out.png\"\nheld_out_labels = \"held-out.labels\"\n\
               population = \"population.png\"   # what attackers of the leakage report have\n\
               population_labels = \"population.labels\"\n"
            .to_owned(),
        files: vec![
            ("calibration.png", sheet(&spread(&kept, CALIBRATING).collect::<Vec<_>>())?),
            ("held-out.png", sheet(&held_out.iter().collect::<Vec<_>>())?),
            ("held-out.labels", numbers(&held_out)),
            ("population.png", sheet(&kept.iter().collect::<Vec<_>>())?),
            ("population.labels", numbers(&kept)),
        ],
        samples: kept.len(),
        held_out: held_out.len(),
        labels,
    })
}

/// Every picture, class after class in the order of names; hidden files are none.
fn read(folder: &Path, preamble: &ImagePreamble) -> Result<Vec<Picture>, DraftError> {
    if folder.is_file() {
        let wanted = "the model reads pictures: a folder of them for each class is needed, this is a file".to_owned();
        return Err(DraftError::NoSamples { path: folder.to_owned(), wanted });
    }
    let mut files = Vec::new();
    for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = name(&class);
        files.extend(entries(&class)?.into_iter().filter(|path| path.is_file()).map(|path| (path, name.clone())));
    }
    if files.is_empty() {
        let wanted = "a folder of pictures (PNG, JPEG, DICOM or NIfTI) for each class is needed there".to_owned();
        return Err(DraftError::NoSamples { path: folder.to_owned(), wanted });
    }
    let picture = |(path, class): &(PathBuf, String)| {
        let tensor = preamble.read(&bytes(path)?);
        let tensor = tensor.map_err(|source| DraftError::Picture { path: path.clone(), source })?;
        Ok(Picture { tensor, class: class.clone() })
    };
    files.par_iter().map(picture).collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DraftError> {
    let failed = |source| DraftError::File { doing: "read the folder", path: folder.to_owned(), source };
    let paths = std::fs::read_dir(folder).map_err(failed)?.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn bytes(path: &Path) -> Result<Vec<u8>, DraftError> {
    let failed = |source| DraftError::File { doing: "read", path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > FILE_LIMIT_BYTES as u64 {
        return Err(failed(std::io::Error::other(format!("{length} bytes, at most {FILE_LIMIT_BYTES} are read"))));
    }
    std::fs::read(path).map_err(failed)
}

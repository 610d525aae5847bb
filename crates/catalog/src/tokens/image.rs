//! How many tokens a picture counts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::family::Image;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    pub width: u32,
    pub height: u32,
}

/// What is taken for a picture whose size is not known (given by its address only): 1024 × 1024 pixels, the size
/// of OpenAI's own example (765 tokens on GPT-4o).
const UNKNOWN: Dimensions = Dimensions { width: 1024, height: 1024 };

/// How many tokens a picture counts. `detail` is OpenAI's: `low` counts only the base.
#[must_use]
pub fn tokens(image: Image, dimensions: Option<Dimensions>, detail: Option<&str>) -> u64 {
    let Dimensions { width, height } = dimensions.unwrap_or(UNKNOWN);
    let (width, height) = (u64::from(width.max(1)), u64::from(height.max(1)));
    match image {
        Image::Tiles { base, .. } if detail == Some("low") => base,
        Image::Tiles { base, tile } => {
            // Into 2048 × 2048, then the shorter side down to 768.
            let (width, height) = fit(width, height, width.max(height), 2048);
            let (width, height) = fit(width, height, width.min(height), 768);
            base + tile * width.div_ceil(512) * height.div_ceil(512)
        }
        Image::Patches { percent } => (patches(width, height) * percent).div_ceil(100),
        Image::Area => {
            let (width, height) = fit(width, height, width.max(height), 1568);
            (width * height).div_ceil(750).min(1600)
        }
        Image::Crops if width <= 384 && height <= 384 => 258,
        Image::Crops => 258 * width.div_ceil(768) * height.div_ceil(768),
    }
}

/// Scales so that `side` becomes `limit`, if it is longer.
fn fit(width: u64, height: u64, side: u64, limit: u64) -> (u64, u64) {
    if side <= limit {
        return (width, height);
    }
    let scaled = |length: u64| (length * limit / side).max(1);
    (scaled(width), scaled(height))
}

/// 32 × 32 patches, the picture being scaled down until there are at most 1,536.
fn patches(width: u64, height: u64) -> u64 {
    const MOST: u64 = 1536;
    let whole = width.div_ceil(32) * height.div_ceil(32);
    if whole <= MOST {
        return whole;
    }
    // The largest scale in thousandths at which the patches fit.
    let at = |scale: u64| (width * scale).div_ceil(32_000) * (height * scale).div_ceil(32_000);
    let (mut fits, mut too_large) = (0, 1000);
    while too_large - fits > 1 {
        let middle = (fits + too_large) / 2;
        if at(middle) <= MOST { fits = middle } else { too_large = middle }
    }
    at(fits).max(1)
}

/// Reads a picture's size from the beginning of its base64 text: PNG, JPEG, GIF, WebP.
#[must_use]
pub fn dimensions(base64: &str) -> Option<Dimensions> {
    // Sizes stand in the first bytes, except in JPEGs, whose previews and profiles come first.
    const READ: usize = 256 * 1024;
    let text = base64.trim_end_matches('=').as_bytes();
    let text = text.get(..text.len().min(READ) / 4 * 4)?;
    let bytes = STANDARD.decode(text).ok()?;
    png(&bytes).or_else(|| gif(&bytes)).or_else(|| webp(&bytes)).or_else(|| jpeg(&bytes))
}

fn size(width: u32, height: u32) -> Option<Dimensions> {
    (width > 0 && height > 0).then_some(Dimensions { width, height })
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn png(bytes: &[u8]) -> Option<Dimensions> {
    bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    size(u32::from_be_bytes(chunk(bytes, 16)?), u32::from_be_bytes(chunk(bytes, 20)?))
}

fn gif(bytes: &[u8]) -> Option<Dimensions> {
    bytes.strip_prefix(b"GIF8")?;
    size(u16::from_le_bytes(chunk(bytes, 6)?).into(), u16::from_le_bytes(chunk(bytes, 8)?).into())
}

fn webp(bytes: &[u8]) -> Option<Dimensions> {
    bytes.strip_prefix(b"RIFF")?;
    match &chunk::<8>(bytes, 8)? {
        b"WEBPVP8X" => {
            let wide = |[a, b, c]: [u8; 3]| u32::from_le_bytes([a, b, c, 0]) + 1;
            size(wide(chunk(bytes, 24)?), wide(chunk(bytes, 27)?))
        }
        b"WEBPVP8L" => {
            let bits = u32::from_le_bytes(chunk(bytes, 21)?);
            size((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)
        }
        b"WEBPVP8 " => {
            let side = |at| chunk(bytes, at).map(|side| u32::from(u16::from_le_bytes(side) & 0x3fff));
            size(side(26)?, side(28)?)
        }
        _ => None,
    }
}

fn jpeg(bytes: &[u8]) -> Option<Dimensions> {
    bytes.strip_prefix(b"\xff\xd8")?;
    let mut at = 2;
    loop {
        let [mark, kind] = chunk(bytes, at)?;
        if mark != 0xff {
            return None;
        }
        match kind {
            // Fill bytes and marks without content.
            0xff => at += 1,
            0x01 | 0xd0..=0xd7 => at += 2,
            // A frame's header, whichever its coding.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let height = u16::from_be_bytes(chunk(bytes, at + 5)?);
                return size(u16::from_be_bytes(chunk(bytes, at + 7)?).into(), height.into());
            }
            _ => at += 2 + usize::from(u16::from_be_bytes(chunk(bytes, at + 2)?)),
        }
    }
}

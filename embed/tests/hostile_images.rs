//! Images that are crafted to be expensive are rejected, or decoded within bounds of memory and time.
#![allow(clippy::unwrap_used)] // clippy.toml allows it only inside of tests
#![allow(unsafe_code)] // a counting allocator

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clipdb_embed::image::{ImageError, ImageLimits, Preprocessor, decode_cost, inspect, thumbnail};
use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Counts the bytes of each thread, so that concurrent tests do not affect each other.
struct Counting;

thread_local! {
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: isize) {
    // A terminating thread has no counter any more.
    let _ = HELD.try_with(|held| {
        let (now, peak) = held.get();
        held.set((now + bytes, peak.max(now + bytes)));
    });
}

// SAFETY: all calls are forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The result of `work` and its peak memory in bytes.
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.get().0;
    HELD.set((before, before));
    let result = work();
    (result, (HELD.get().1 - before) as u64)
}

/// The server's default.
const LIMITS: ImageLimits = ImageLimits {
    max_pixels: 64_000_000,
};

/// Memory in addition to the pixels: a decoder's tables, rows, and the resized image.
const SLACK: u64 = 8 << 20;

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/golden");
    std::fs::read(folder.join(name)).unwrap()
}

fn clip() -> Preprocessor {
    Preprocessor::from_config(br#"{"size": 224, "crop_size": 224}"#).unwrap()
}

fn deflated(length: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 1 << 20];
    let mut left = length;
    while left > 0 {
        let part = left.min(block.len());
        encoder.write_all(&block[..part]).unwrap();
        left -= part;
    }
    encoder.finish().unwrap()
}

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut checked = kind.to_vec();
    checked.extend(body);
    let crc = !checked.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
        })
    });
    [
        &(body.len() as u32).to_be_bytes(),
        checked.as_slice(),
        &crc.to_be_bytes(),
    ]
    .concat()
}

/// A black or transparent PNG. `colour` is PNG's colour type.
fn png(side: u32, depth: u8, colour: u8, before: &[u8], packed: &[u8]) -> Vec<u8> {
    let mut header = side.to_be_bytes().to_vec();
    header.extend(side.to_be_bytes());
    header.extend([depth, colour, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    file.extend(chunk(b"IHDR", &header));
    file.extend(before);
    file.extend(chunk(b"IDAT", packed));
    file.extend(chunk(b"IEND", b""));
    file
}

#[test]
fn what_is_packed_beside_the_pixels_is_left_packed() {
    let pixels = deflated((16 * 3 + 1) * 16);
    let plain = clip()
        .cropped(&png(16, 8, 2, b"", &pixels), &LIMITS)
        .unwrap();
    let bomb = deflated(200 << 20);
    for (kind, head) in [
        (b"iCCP", b"x\0\0".as_slice()),
        (b"zTXt", b"XML:com.adobe.xmp\0\0"),
        (b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0"),
    ] {
        let file = png(16, 8, 2, &chunk(kind, &[head, &bomb].concat()), &pixels);
        let begun = Instant::now();
        let (read, held) = peak(|| clip().cropped(&file, &LIMITS));
        assert_eq!(read.unwrap(), plain);
        assert!(held < SLACK, "{kind:?} held {held}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{kind:?}");
        assert!(inspect(&file, &LIMITS).is_ok() && thumbnail(&file, 8, &LIMITS).is_ok());
    }
}

#[test]
fn pixels_that_go_on_after_the_last_row_end_the_work() {
    // 20 MB that inflate to 20 GB.
    let endless = deflated(64 << 20);
    let mut file = png(16, 8, 2, b"", &deflated(16));
    let end = file.len() - 12;
    let mut parts = file.split_off(end);
    // Stored blocks followed by zeros, in the same stream.
    for _ in 0..300 {
        file.extend(chunk(b"IDAT", &endless));
    }
    file.append(&mut parts);
    let begun = Instant::now();
    let _ = clip().pixels(&file, &LIMITS);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// The header of a progressive file, and its scans with their tables.
fn scans(file: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut head, mut scans, mut tables) = (file[..2].to_vec(), Vec::new(), Vec::new());
    let mut at = 2;
    while file[at + 1] != 0xD9 {
        let kind = file[at + 1];
        let length = usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
        let segment = &file[at..at + 2 + length];
        at += 2 + length;
        match kind {
            0xDA => {
                let begun = at;
                while file[at] != 0xFF || file[at + 1] == 0 {
                    at += 1;
                }
                let mut scan: Vec<u8> = std::mem::take(&mut tables);
                scan.extend(segment);
                scan.extend(&file[begun..at]);
                scans.push(scan);
            }
            0xC4 => tables.extend(segment),
            _ => head.extend(segment),
        }
    }
    (head, scans)
}

#[test]
fn a_jpeg_of_many_scans_is_refused_by_its_markers() {
    let whole = golden("formats/progressive.jpg");
    let (head, scans) = scans(&whole);
    let last = scans.last().unwrap();
    let with = |count: usize| {
        let mut file = head.clone();
        scans.iter().for_each(|scan| file.extend(scan));
        (scans.len()..count).for_each(|_| file.extend(last));
        file.extend(b"\xFF\xD9");
        file
    };
    let first = clip().cropped(&whole, &LIMITS).unwrap();
    assert_eq!(clip().cropped(&with(scans.len()), &LIMITS).unwrap(), first);
    assert!(clip().cropped(&with(100), &LIMITS).is_ok());
    for count in [101, 1_000, 50_000] {
        let file = with(count);
        let begun = Instant::now();
        for result in [
            inspect(&file, &LIMITS).map(|_| ()),
            clip().pixels(&file, &LIMITS).map(|_| ()),
            thumbnail(&file, 16, &LIMITS).map(|_| ()),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, ImageError::TooCostly { .. }), "{error:?}");
            assert!(error.to_string().contains("more than 100 scans"), "{error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{count}");
    }
}

#[test]
fn data_that_does_not_cover_the_image_is_no_image() {
    for (name, start) in [
        ("rgb.jpg", 0xC0),
        ("grey.jpg", 0xC0),
        ("progressive.jpg", 0xC2),
    ] {
        let mut file = golden(&format!("formats/{name}"));
        let frame = file
            .windows(2)
            .position(|pair| pair == [0xFF, start])
            .unwrap();
        file[frame + 5..frame + 9].copy_from_slice(&[0x1F, 0x40, 0x1F, 0x40]);
        let info = inspect(&file, &LIMITS).unwrap();
        assert_eq!((info.width, info.height), (8_000, 8_000));
        let begun = Instant::now();
        let error = clip().pixels(&file, &LIMITS).unwrap_err();
        assert!(
            matches!(error, ImageError::Truncated { .. }),
            "{name}: {error:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}");
    }
}

/// Large images in small files, in every format.
fn large(side: u32) -> Vec<(String, Vec<u8>)> {
    let length = side as usize;
    let mut files = vec![
        (
            "1-bit.png".to_owned(),
            png(side, 1, 0, b"", &deflated((length / 8 + 1) * length)),
        ),
        (
            "rgb.png".to_owned(),
            png(side, 8, 2, b"", &deflated((3 * length + 1) * length)),
        ),
        (
            "rgba-16.png".to_owned(),
            png(side, 16, 6, b"", &deflated((8 * length + 1) * length)),
        ),
    ];
    let picture = ::image::RgbImage::from_pixel(side, side, ::image::Rgb([90, 120, 30]));
    for format in [
        ::image::ImageFormat::WebP,
        ::image::ImageFormat::Gif,
        ::image::ImageFormat::Bmp,
        ::image::ImageFormat::Jpeg,
    ] {
        let mut file = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut file, format).unwrap();
        files.push((format!("{format:?}"), file.into_inner()));
    }
    for (name, samples, bits, float, photometric) in [
        ("grey.tiff", 1, 8, false, 1),
        ("float.tiff", 1, 32, true, 1),
        ("rgba-16.tiff", 4, 16, false, 2),
        ("inks.tiff", 4, 8, false, 5),
        ("luminance.tiff", 3, 8, false, 6),
    ] {
        let packed = deflated(length * length * samples * bits / 8);
        let mut entries = vec![
            (256, side),
            (257, side),
            (258, bits as u32),
            (259, 8),
            (262, photometric),
            (273, 8),
            (277, samples as u32),
            (278, side),
            (279, packed.len() as u32),
            (339, if float { 3 } else { 1 }),
        ];
        if photometric == 6 {
            entries.push((530, 1 | 1 << 16));
        }
        entries.sort_unstable();
        let mut file = b"II*\0".to_vec();
        file.extend((8 + packed.len() as u32).to_le_bytes());
        file.extend(&packed);
        file.extend((entries.len() as u16).to_le_bytes());
        for (tag, value) in entries {
            let (kind, count) = if tag == 530 { (3_u16, 2_u32) } else { (4, 1) };
            file.extend((tag as u16).to_le_bytes());
            file.extend(kind.to_le_bytes());
            file.extend(count.to_le_bytes());
            file.extend(value.to_le_bytes());
        }
        file.extend([0; 4]);
        files.push((name.to_owned(), file));
    }
    files
}

#[test]
fn memory_is_what_the_header_said() {
    for (name, file) in large(2_000) {
        let cost = decode_cost(&inspect(&file, &LIMITS).unwrap());
        let begun = Instant::now();
        let (result, held) = peak(|| clip().pixels(&file, &LIMITS));
        let took = begun.elapsed();
        result.unwrap_or_else(|error| panic!("{name}: {error}"));
        println!(
            "{name}: {} bytes, cost {cost}, held {held}, {took:?}",
            file.len()
        );
        assert!(held <= cost + SLACK, "{name} held {held}, said {cost}");
        let (drawn, held) = peak(|| thumbnail(&file, 100, &LIMITS));
        drawn.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            held <= cost + SLACK,
            "{name}'s thumbnail held {held}, said {cost}"
        );
    }
}

/// The memory and time of an image with 64 million pixels, in every format.
#[test]
#[ignore = "takes a minute"]
fn the_largest_images() {
    for (name, file) in large(8_000) {
        let begun = Instant::now();
        let result = clip().pixels(&file, &LIMITS);
        println!(
            "{name}: {} bytes, {:?}, {:?}",
            file.len(),
            begun.elapsed(),
            result.map(|_| "read")
        );
    }
}

/// Mutates files for `CLIPDB_FUZZ_SECONDS`: no panic, no long decode, no more memory than the header
/// announces.
#[test]
#[ignore = "runs for CLIPDB_FUZZ_SECONDS"]
fn changed_files_stay_within_bounds() {
    let seconds = std::env::var("CLIPDB_FUZZ_SECONDS").map_or(60, |text| text.parse().unwrap());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/golden");
    let mut seeds: Vec<PathBuf> = ["formats", "kinds"]
        .iter()
        .flat_map(|name| std::fs::read_dir(folder.join(name)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    seeds.sort();
    let seeds: Vec<Vec<u8>> = seeds
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let mut state = std::env::var("CLIPDB_FUZZ_SEED").map_or(1, |text| text.parse().unwrap());
    let mut random = move |below: usize| {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (u64::wrapping_mul(state, 0x2545_F491_4F6C_DD1D) >> 33) as usize % below.max(1)
    };
    let limits = ImageLimits {
        max_pixels: 4_000_000,
    };
    let (end, mut count, mut read) = (Instant::now() + Duration::from_secs(seconds), 0, 0);
    let mut longest = Duration::ZERO;
    while Instant::now() < end {
        let mut file = seeds[random(seeds.len())].clone();
        for _ in 0..=random(8) {
            let at = random(file.len());
            match random(6) {
                0 => file[at] = random(256) as u8,
                1 => file[at] ^= 1 << random(8),
                2 => file[at] = [0, 1, 0x7F, 0x80, 0xFF][random(5)],
                3 => {
                    let length = random(64).min(file.len() - at);
                    let part = file[at..at + length].to_vec();
                    let to = random(file.len());
                    file.splice(to..to, part);
                }
                4 if random(4) == 0 => file.truncate(at.max(4)),
                _ => {
                    // Makes an integer in a header large or small.
                    let head = at % 256.min(file.len());
                    let bytes = (random(70_000) as u32).to_le_bytes();
                    let length = random(4).min(file.len() - head);
                    file[head..head + length].copy_from_slice(&bytes[..length]);
                }
            }
        }
        count += 1;
        let begun = Instant::now();
        let info = inspect(&file, &limits);
        let cost = info.as_ref().map_or(0, decode_cost);
        let (result, held) = peak(|| clip().pixels(&file, &limits));
        let took = begun.elapsed();
        longest = longest.max(took);
        read += u32::from(result.is_ok());
        let gave_up = matches!(&result, Err(ImageError::Corrupt { reason, .. }) if reason.contains("gave up"));
        if gave_up || took > Duration::from_secs(2) || held > cost + (40 << 20) {
            let path = std::env::temp_dir().join(format!("clipdb-fuzz-{count}"));
            std::fs::write(&path, &file).unwrap();
            println!(
                "{}: {took:?}, held {held}, cost {cost}, {:?}",
                path.display(),
                result.map(|_| "read")
            );
        }
    }
    println!("{count} files, {read} of them read, the longest took {longest:?}");
}

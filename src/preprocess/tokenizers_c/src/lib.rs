// SPDX-License-Identifier: Apache-2.0
//! The C functions of `tokenizers_c.h`, over Hugging Face's `tokenizers`. Contracts stand in the header.

use std::any::Any;
use std::os::raw::c_int;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::slice;
use std::str;

use tokenizers::tokenizer::{EncodeInput, Encoding, Tokenizer};
use tokenizers::utils::padding::PaddingDirection;
use tokenizers::utils::truncation::TruncationDirection;

const SPECIAL: u32 = 1;
const OFFSETS: u32 = 2;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    data: *const u8,
    size: usize,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Info {
    vocabulary_size: u32,
    pad_id: u32,
    pad_type_id: u32,
    truncation_length: u32,
    has_padding: u8,
    pad_left: u8,
    truncate_left: u8,
    reserved: u8,
}

#[repr(C)]
pub struct EncodingView {
    size: usize,
    ids: *const u32,
    type_ids: *const u32,
    attention_mask: *const u32,
    special_mask: *const u32,
    offsets: *const u64,
}

pub struct Handle {
    tokenizer: Tokenizer,
    info: Info,
}

struct Encoded {
    encoding: Encoding,
    offsets: Option<Vec<u64>>,
}

pub struct Encodings(Vec<Encoded>);

/// The bytes a `Text` borrows; an empty one may have a null pointer.
unsafe fn bytes<'a>(text: Text) -> &'a [u8] {
    if text.size == 0 {
        &[]
    } else {
        slice::from_raw_parts(text.data, text.size)
    }
}

fn owned_text(value: String) -> Text {
    if value.is_empty() {
        return Text { data: ptr::null(), size: 0 };
    }
    let boxed = value.into_bytes().into_boxed_slice();
    let size = boxed.len();
    Text { data: Box::into_raw(boxed) as *const u8, size }
}

fn panic_message(payload: Box<dyn Any + Send>) -> String {
    let what = payload
        .downcast_ref::<&str>()
        .map(|s| s.to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_string());
    format!("the tokenizer library panicked: {what}")
}

/// Runs `body`, turning its error or panic into text for the caller.
unsafe fn guarded(error: *mut Text, body: impl FnOnce() -> Result<(), String>) -> c_int {
    let message = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return 0,
        Ok(Err(message)) => message,
        Err(payload) => panic_message(payload),
    };
    if !error.is_null() {
        *error = owned_text(message);
    }
    1
}

/// The library prints a panic to stderr before it unwinds; ours reaches the caller as text instead.
fn silence_panics() {
    use std::sync::Once;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}

fn info_of(tokenizer: &Tokenizer) -> Info {
    let mut info = Info {
        vocabulary_size: u32::try_from(tokenizer.get_vocab_size(true)).unwrap_or(u32::MAX),
        ..Info::default()
    };
    if let Some(padding) = tokenizer.get_padding() {
        info.has_padding = 1;
        info.pad_id = padding.pad_id;
        info.pad_type_id = padding.pad_type_id;
        info.pad_left = matches!(padding.direction, PaddingDirection::Left) as u8;
    }
    if let Some(truncation) = tokenizer.get_truncation() {
        info.truncation_length = u32::try_from(truncation.max_length).unwrap_or(u32::MAX);
        info.truncate_left = matches!(truncation.direction, TruncationDirection::Left) as u8;
    }
    info
}

/// # Safety
/// As `tokenizers_c.h` says of every function here.
#[no_mangle]
pub unsafe extern "C" fn mlos_tokenizer_create(json: Text, out: *mut *mut Handle, error: *mut Text) -> c_int {
    silence_panics();
    guarded(error, || {
        let mut tokenizer = Tokenizer::from_bytes(bytes(json)).map_err(|e| e.to_string())?;
        let info = info_of(&tokenizer);
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
        *out = Box::into_raw(Box::new(Handle { tokenizer, info }));
        Ok(())
    })
}

/// # Safety
/// `handle` is null or came from `mlos_tokenizer_create` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn mlos_tokenizer_destroy(handle: *mut Handle) {
    if !handle.is_null() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(handle))));
    }
}

/// # Safety
/// Both pointers are valid.
#[no_mangle]
pub unsafe extern "C" fn mlos_tokenizer_get_info(handle: *const Handle, info: *mut Info) {
    *info = (*handle).info;
}

/// # Safety
/// `handle` is valid, `token` borrows readable bytes.
#[no_mangle]
pub unsafe extern "C" fn mlos_tokenizer_token_id(handle: *const Handle, token: Text) -> i64 {
    catch_unwind(AssertUnwindSafe(|| {
        let token = str::from_utf8(bytes(token)).ok()?;
        (*handle).tokenizer.token_to_id(token).map(i64::from)
    }))
    .ok()
    .flatten()
    .unwrap_or(-1)
}

unsafe fn text_at<'a>(texts: *const Text, index: usize) -> Result<&'a str, String> {
    str::from_utf8(bytes(*texts.add(index))).map_err(|e| format!("text {index} is not valid UTF-8: {e}"))
}

unsafe fn encode_one(
    tokenizer: &Tokenizer,
    texts: *const Text,
    pairs: *const Text,
    index: usize,
    flags: u32,
) -> Result<Encoded, String> {
    let first = text_at(texts, index)?;
    let input: EncodeInput = if pairs.is_null() {
        first.into()
    } else {
        (first, text_at(pairs, index)?).into()
    };
    let special = flags & SPECIAL != 0;
    let wants_offsets = flags & OFFSETS != 0;
    let encoding = if wants_offsets {
        tokenizer.encode(input, special)
    } else {
        tokenizer.encode_fast(input, special)
    }
    .map_err(|e| format!("text {index}: {e}"))?;
    let offsets = wants_offsets.then(|| {
        encoding.get_offsets().iter().flat_map(|&(begin, end)| [begin as u64, end as u64]).collect()
    });
    Ok(Encoded { encoding, offsets })
}

/// # Safety
/// `texts` (and `pairs` unless null) point to `count` texts.
#[no_mangle]
pub unsafe extern "C" fn mlos_tokenizer_encode(
    handle: *const Handle,
    texts: *const Text,
    pairs: *const Text,
    count: usize,
    flags: u32,
    out: *mut *mut Encodings,
    error: *mut Text,
) -> c_int {
    guarded(error, || {
        let tokenizer = &(*handle).tokenizer;
        let encoded: Result<Vec<Encoded>, String> =
            (0..count).map(|index| encode_one(tokenizer, texts, pairs, index, flags)).collect();
        *out = Box::into_raw(Box::new(Encodings(encoded?)));
        Ok(())
    })
}

/// # Safety
/// `encodings` is valid.
#[no_mangle]
pub unsafe extern "C" fn mlos_encodings_count(encodings: *const Encodings) -> usize {
    (&(*encodings).0).len()
}

/// # Safety
/// `encodings` and `view` are valid, `index` is below the count.
#[no_mangle]
pub unsafe extern "C" fn mlos_encodings_get(encodings: *const Encodings, index: usize, view: *mut EncodingView) {
    let encoded = &(&(*encodings).0)[index];
    let encoding = &encoded.encoding;
    *view = EncodingView {
        size: encoding.get_ids().len(),
        ids: encoding.get_ids().as_ptr(),
        type_ids: encoding.get_type_ids().as_ptr(),
        attention_mask: encoding.get_attention_mask().as_ptr(),
        special_mask: encoding.get_special_tokens_mask().as_ptr(),
        offsets: encoded.offsets.as_ref().map_or(ptr::null(), |o| o.as_ptr()),
    };
}

/// # Safety
/// `encodings` is null or came from `mlos_tokenizer_encode` and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn mlos_encodings_destroy(encodings: *mut Encodings) {
    if !encodings.is_null() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(encodings))));
    }
}

/// # Safety
/// `ids` points to `count` numbers (or is null when `count` is 0).
#[no_mangle]
pub unsafe extern "C" fn mlos_tokenizer_decode(
    handle: *const Handle,
    ids: *const u32,
    count: usize,
    skip_special: c_int,
    out: *mut Text,
    error: *mut Text,
) -> c_int {
    guarded(error, || {
        let ids = if count == 0 { &[] } else { slice::from_raw_parts(ids, count) };
        let text = (*handle).tokenizer.decode(ids, skip_special != 0).map_err(|e| e.to_string())?;
        *out = owned_text(text);
        Ok(())
    })
}

/// # Safety
/// `text` came out of a function of this library and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn mlos_tokenizers_free_text(text: Text) {
    if !text.data.is_null() && text.size != 0 {
        drop(Box::from_raw(ptr::slice_from_raw_parts_mut(text.data as *mut u8, text.size)));
    }
}

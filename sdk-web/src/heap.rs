//! The memory of the core: blocks of powers of two, each given back to the next that asks for its
//! size. A page's texts have few sizes, so nothing is joined or split, and a few lines are enough.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::{memory_grow, memory_size};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

/// The smallest block, as a power of two: room for any number, and aligned for it.
const LEAST: u32 = 4;
/// Bytes of a page of memory, as a power of two.
const PAGE: u32 = 16;

/// Free blocks by their powers of two, each holding the address of the next one; and what was never
/// given out, from an address to an end.
pub(crate) struct Heap(UnsafeCell<([*mut u8; 32], usize, usize)>);

// SAFETY: the module's memory is not shared, so no second thread can run in it.
unsafe impl Sync for Heap {}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(([null_mut(); 32], 0, 0)))
    }
}

/// The power of two that holds so many bytes.
fn power(layout: Layout) -> u32 {
    usize::BITS - (layout.size().max(1 << LEAST) - 1).leading_zeros()
}

// SAFETY: a block is given out once until it comes back: it lies in no list then, and what was never
// given out begins behind it. It is at least as large as asked for. It begins at a multiple of
// sixteen, which is the largest alignment that anything in here asks for.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let power = power(layout);
        // SAFETY: there is one thread, and nothing in here calls back.
        let (free, next, end) = unsafe { &mut *self.0.get() };
        let Some(list) = free.get_mut(power as usize) else { return null_mut() };
        if !list.is_null() {
            let block = *list;
            // SAFETY: a free block holds the address of the next one.
            *list = unsafe { block.cast::<*mut u8>().read() };
            return block;
        }
        let bytes = 1 << power;
        if *end - *next < bytes {
            let pages = (bytes >> PAGE) + 1;
            // What is left of the pages before is lost unless the new ones follow on them.
            let begin = memory_size(0) << PAGE;
            if memory_grow(0, pages) == usize::MAX {
                return null_mut();
            }
            if *end != begin {
                *next = begin;
            }
            *end = begin + (pages << PAGE);
        }
        *next += bytes;
        (*next - bytes) as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above; the block is ours again, and has room for an address.
        let (free, ..) = unsafe { &mut *self.0.get() };
        if let Some(list) = free.get_mut(power(layout) as usize) {
            // SAFETY: likewise.
            unsafe { block.cast::<*mut u8>().write(*list) };
            *list = block;
        }
    }
}

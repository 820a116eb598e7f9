//! The fault matrix: whatever a provider answers and whatever a network does, over real TLS
//! sockets, no push is lost, none goes out twice unless the answer itself was lost, and then under
//! the same ids, and no good address is called dead. 2,000 devices a scenario; with `LOA_FULL=1`
//! 100,000 (`make chaos`), and a table of what was counted.

mod connections;
mod drive;
mod node;
mod rows;

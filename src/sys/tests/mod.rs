//! Tests of `sys` on real cores, sockets and files. Directories lie under the build's target directory.

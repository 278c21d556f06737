# The library, the command and the Python module: nix-build packaging/nix. Not built yet: packaging/README.md.
{ pkgs ? import <nixpkgs> { } }:

let
  inherit (pkgs) cargo lib python3 rustPlatform rustc stdenv;
in
stdenv.mkDerivation {
  pname = "nswatch";
  version = (lib.importTOML ../../Cargo.toml).package.version;
  src = lib.cleanSource ../..;

  # Nix fetches each crate of Cargo.lock, by its checksum
  cargoDeps = rustPlatform.importCargoLock { lockFile = ../../Cargo.lock; };
  nativeBuildInputs = [ cargo rustc rustPlatform.cargoSetupHook ];

  postPatch = "patchShebangs .cargo/rustc";
  makeFlags = [ "PREFIX=${placeholder "out"}" "CC=${stdenv.cc.targetPrefix}cc" ];
  buildFlags = [ "all" ];
  enableParallelBuilding = true;

  # The module loads the library beside it.
  postInstall = ''
    module=$out/${python3.sitePackages}/nswatch
    mkdir -p $module
    cp bindings/python/nswatch/*.py bindings/python/nswatch/py.typed $module
    ln -s $out/lib/libnswatch.so.0 $module
    install -Dm644 -t $out/share/licenses/nswatch LICENSE-MIT LICENSE-APACHE packaging/debian/copyright
  '';

  meta = {
    description = "Watch Linux network namespaces come, become usable and go";
    homepage = "https://github.com/nswatch/nswatch";
    license = with lib.licenses; [ mit asl20 ];
    platforms = lib.platforms.linux;
    mainProgram = "nswatch";
  };
}

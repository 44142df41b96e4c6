cwlVersion: v1.2
$namespaces:
  s: https://schema.org/
s:softwareVersion: 0.1.0

$graph:
  - class: Workflow
    id: l8s2
    label: Landsat-8/9 to 10 m
    doc: >-
      Surface reflectance of Landsat-8/9 scenes at 10 m in six bands, on Sentinel-2's lattice, with a standard
      uncertainty for every pixel.
    inputs:
      scenes:
        type: Directory
        label: Landsat scenes
        doc: >-
          A staged-in STAC catalogue (catalog.json) of Landsat Collection-2 Level-2 Items with their files, and of their
          Level-1 Items for pan; or a folder with the files of one Level-2 product; or a folder of products.
      bbox:
        type: double[]?
        label: Area
        doc: West, south, east, north in degrees (WGS 84). Without it the whole scenes.
      mgrs:
        type: string?
        label: Sentinel-2 tile
        doc: Exactly the 10 m grid of this tile, for example 43PHQ.
      model:
        type: string
        default: compact
        label: Model
        doc: compact, compact-nopan, or another that the container reaches.
    outputs:
      products:
        type: Directory
        outputSource: harmonize/products
    steps:
      harmonize:
        run: "#harmonize"
        in: {scenes: scenes, bbox: bbox, mgrs: mgrs, model: model}
        out: [products]

  - class: CommandLineTool
    id: harmonize
    hints:  # not a requirement, so that it also runs where l8s2 is installed without a container
      DockerRequirement:
        dockerPull: l8s2:0.1.0
    requirements:
      ResourceRequirement:
        coresMin: 2
        ramMin: 4096
      NetworkAccess:
        networkAccess: false
    baseCommand: [l8s2, batch]
    arguments: [--workers, "1", --output, products]
    inputs:
      scenes:
        type: Directory
        inputBinding: {position: 1}
      bbox:
        type: double[]?
        inputBinding: {prefix: --bbox, position: 2}
      mgrs:
        type: string?
        inputBinding: {prefix: --mgrs, position: 2}
      model:
        type: string
        inputBinding: {prefix: --model, position: 2}
    outputs:
      products:
        type: Directory
        outputBinding: {glob: products}
    temporaryFailCodes: [75]

<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.34" styleCategories="Symbology">
  <pipe>
    <rasterrenderer type="paletted" band="1" alphaBand="-1" opacity="1" nodataColor="">
      <colorPalette>
        <paletteEntry value="1" color="#000000" alpha="0" label="fill"/>
        <paletteEntry value="0" color="#f7f7f7" alpha="0" label="clean"/>
        <paletteEntry value="64" color="#4292c6" alpha="255" label="water"/>
        <paletteEntry value="32" color="#9ecae1" alpha="255" label="snow"/>
        <paletteEntry value="16" color="#525252" alpha="255" label="cloud_shadow"/>
        <paletteEntry value="2" color="#d4b9da" alpha="255" label="dilated_cloud"/>
        <paletteEntry value="4" color="#c994c7" alpha="255" label="cirrus"/>
        <paletteEntry value="8" color="#df65b0" alpha="255" label="cloud"/>
        <paletteEntry value="128" color="#fe9929" alpha="255" label="saturated"/>
        <paletteEntry value="256" color="#fec44f" alpha="255" label="out_of_range"/>
        <paletteEntry value="4096" color="#cb181d" alpha="255" label="do_not_trust"/>
        <paletteEntry value="512" color="#f7f7f7" alpha="255" label="no_pan"/>
        <paletteEntry value="576" color="#4292c6" alpha="255" label="water, no_pan"/>
        <paletteEntry value="544" color="#9ecae1" alpha="255" label="snow, no_pan"/>
        <paletteEntry value="528" color="#525252" alpha="255" label="cloud_shadow, no_pan"/>
        <paletteEntry value="514" color="#d4b9da" alpha="255" label="dilated_cloud, no_pan"/>
        <paletteEntry value="516" color="#c994c7" alpha="255" label="cirrus, no_pan"/>
        <paletteEntry value="520" color="#df65b0" alpha="255" label="cloud, no_pan"/>
        <paletteEntry value="640" color="#fe9929" alpha="255" label="saturated, no_pan"/>
        <paletteEntry value="768" color="#fec44f" alpha="255" label="out_of_range, no_pan"/>
        <paletteEntry value="4608" color="#cb181d" alpha="255" label="do_not_trust, no_pan"/>
        <paletteEntry value="1024" color="#f7f7f7" alpha="255" label="no_qa"/>
        <paletteEntry value="1280" color="#fec44f" alpha="255" label="out_of_range, no_qa"/>
        <paletteEntry value="5120" color="#cb181d" alpha="255" label="do_not_trust, no_qa"/>
        <paletteEntry value="1536" color="#f7f7f7" alpha="255" label="no_pan, no_qa"/>
        <paletteEntry value="1792" color="#fec44f" alpha="255" label="out_of_range, no_pan, no_qa"/>
        <paletteEntry value="5632" color="#cb181d" alpha="255" label="do_not_trust, no_pan, no_qa"/>
        <paletteEntry value="2048" color="#f7f7f7" alpha="255" label="near_fill"/>
        <paletteEntry value="2560" color="#f7f7f7" alpha="255" label="no_pan, near_fill"/>
        <paletteEntry value="3072" color="#f7f7f7" alpha="255" label="no_qa, near_fill"/>
        <paletteEntry value="3584" color="#f7f7f7" alpha="255" label="no_pan, no_qa, near_fill"/>
      </colorPalette>
    </rasterrenderer>
  </pipe>
</qgis>
